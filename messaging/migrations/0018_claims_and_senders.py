from django.db import migrations, models


class Migration(migrations.Migration):
    """Installations that run keep what programs may name; new ones let sendmail name nothing until it is listed."""

    dependencies = [
        ('messaging', '0017_sessions'),
    ]

    operations = [
        migrations.AddField(
            model_name='companyoptions',
            name='urgent_claims',
            field=models.TextField(blank=True, db_default='backend *\nsendmail *', default='backend *\nsendmail *', help_text='A way in and a category per line.', verbose_name='who may claim them'),
        ),
        migrations.AlterField(
            model_name='companyoptions',
            name='urgent_claims',
            field=models.TextField(blank=True, db_default='backend *', default='backend *', help_text='A way in and a category per line.', verbose_name='who may claim them'),
        ),
        migrations.AddField(
            model_name='companyoptions',
            name='user_senders',
            field=models.TextField(blank=True, db_default='', default='', help_text='A user and an address per line.', verbose_name='addresses they may send from'),
        ),
        migrations.AddField(
            model_name='companyoptions',
            name='users_any_sender',
            field=models.BooleanField(db_default=False, default=False, verbose_name='users may send from any address'),
        ),
        migrations.AddField(
            model_name='emailsettings',
            name='chose_from_address',
            field=models.BooleanField(db_default=False, default=False, help_text='The user chose the From address themselves: it counts while they may send from it.'),
        ),
    ]
